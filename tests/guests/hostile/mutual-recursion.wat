;; Two functions that call each other through a table, without end.
(component
  (core module $code
    (type $step (func (param i32) (result i32)))
    (table 2 2 funcref)
    (elem (i32.const 0) $even $odd)
    (func $even (export "even") (param i32) (result i32)
      (i32.add (i32.const 1) (call_indirect (type $step) (local.get 0) (i32.const 1))))
    (func $odd (param i32) (result i32)
      (i32.add (i32.const 1) (call_indirect (type $step) (local.get 0) (i32.const 0)))))
  (core instance $code (instantiate $code))
  (func (export "even") (param "number" u32) (result u32) (canon lift (core func $code "even"))))
