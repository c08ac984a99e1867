;; A function that never returns.
;; Must be stopped by fuel or by the deadline. `add` beside it must still work.
(component
  (core module $code
    (func (export "spin") (loop $forever (br $forever)))
    (func (export "add") (param i32 i32) (result i32)
      (i32.add (local.get 0) (local.get 1))))
  (core instance $code (instantiate $code))
  (func (export "spin") (canon lift (core func $code "spin")))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $code "add"))))
