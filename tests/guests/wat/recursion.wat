;; A function that calls itself without end.
;; Must be stopped as a trap (stack overflow) or by fuel. The server must not notice.
(component
  (core module $code
    (func $recurse (export "recurse") (param i32) (result i32)
      (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1))))
  (core instance $code (instantiate $code))
  (func (export "recurse") (param "depth" u32) (result u32)
    (canon lift (core func $code "recurse"))))
