;; A function whose name leads out of where it belongs.
(component
  (core module $code (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "../../v1/keys") (result u32) (canon lift (core func $code "one"))))
