;; Answers with a text of two megabytes that is six times as long when it is written as JSON.
(component
  (core module $code
    (memory (export "memory") 40)
    (data (i32.const 16) "\00\04\00\00\00\00\20\00")
    (func (export "text") (result i32)
      (memory.fill (i32.const 1024) (i32.const 1) (i32.const 2097152))
      (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "text") (result string) (canon lift (core func $code "text") (memory (core memory $code "memory")))))
