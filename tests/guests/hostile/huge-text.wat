;; Answers with a text of fifteen megabytes, which it really has.
(component
  (core module $code
    (memory (export "memory") 240)
    (data (i32.const 16) "\00\04\00\00\00\00\e0\00")
    (func (export "text") (result i32)
      (memory.fill (i32.const 1024) (i32.const 0x78) (i32.const 14680064))
      (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "text") (result string) (canon lift (core func $code "text") (memory (core memory $code "memory")))))
