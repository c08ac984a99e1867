;; A function whose name turns round what stands after it.
(component
  (core module $code (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "read\u{202e}etirw") (result u32) (canon lift (core func $code "one"))))
