;; Calls a function as if it took something else.
(component
  (core module $code
    (type $other (func (param f64) (result i64)))
    (table 1 1 funcref)
    (elem (i32.const 0) $one)
    (func $one (result i32) (i32.const 1))
    (func (export "call") (drop (call_indirect (type $other) (f64.const 1) (i32.const 0)))))
  (core instance $code (instantiate $code))
  (func (export "call") (canon lift (core func $code "call"))))
