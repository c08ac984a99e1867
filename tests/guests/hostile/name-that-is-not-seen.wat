;; A function whose name holds a space without width.
(component
  (core module $code (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "rea\u{200b}d") (result u32) (canon lift (core func $code "one"))))
