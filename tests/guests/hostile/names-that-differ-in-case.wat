;; Two functions whose names differ in nothing but the case of their letters.
(component
  (core module $code (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "read") (result u32) (canon lift (core func $code "one")))
  (func (export "READ") (result u32) (canon lift (core func $code "one"))))
