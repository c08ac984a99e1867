;; Answers with a text of no bytes far beyond its memory.
(component
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "\00\00\00\f0\00\00\00\00")
    (func (export "text") (result i32) (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "text") (result string) (canon lift (core func $code "text") (memory (core memory $code "memory")))))
