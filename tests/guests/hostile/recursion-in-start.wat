;; Runs out of stack before it is ready.
(component
  (core module $code
    (func $recurse (result i32) (i32.add (call $recurse) (i32.const 1)))
    (func $start (drop (call $recurse)))
    (start $start)
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
