;; Answers with a text of a hundred thousand opening brackets: JSON within JSON that no parser should descend into.
(component
  (core module $code
    (memory (export "memory") 2)
    (data (i32.const 16) "\00\04\00\00\a0\86\01\00")
    (func (export "text") (result i32)
      (memory.fill (i32.const 1024) (i32.const 0x5b) (i32.const 100000))
      (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "text") (result string) (canon lift (core func $code "text") (memory (core memory $code "memory")))))
