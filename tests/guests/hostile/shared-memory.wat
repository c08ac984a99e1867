;; A memory that threads would share: a proposal that is not offered.
(component
  (core module $code
    (memory 1 1 shared)
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
