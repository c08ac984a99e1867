;; Answers with an option that is neither there nor absent, and with a result that is neither success nor failure.
(component
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "\07\00\00\00\01\00\00\00")
    (func (export "maybe") (result i32) (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "maybe") (result (option u32))
    (canon lift (core func $code "maybe") (memory (core memory $code "memory"))))
  (func (export "outcome") (result (result u32 (error u32)))
    (canon lift (core func $code "maybe") (memory (core memory $code "memory")))))
