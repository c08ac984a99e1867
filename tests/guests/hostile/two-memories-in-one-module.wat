;; Several memories in one module: a proposal that is not offered.
(component
  (core module $code
    (memory 1)
    (memory 1)
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
