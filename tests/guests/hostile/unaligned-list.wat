;; Answers with a list of numbers at an odd address.
(component
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "\01\04\00\00\02\00\00\00")
    (func (export "numbers") (result i32) (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "numbers") (result (list u32))
    (canon lift (core func $code "numbers") (memory (core memory $code "memory")))))
