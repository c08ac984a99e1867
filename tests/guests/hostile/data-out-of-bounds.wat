;; Brings contents for memory that it does not have: it can never be made ready.
(component
  (core module $code
    (memory 1)
    (data (i32.const 0xfffffff0) "beyond the end of the memory")
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
