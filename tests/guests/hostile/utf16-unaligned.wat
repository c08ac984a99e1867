;; Answers with a text of 16-bit units at an odd address.
(component
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "\21\00\00\00\01\00\00\00")
    (func (export "text") (result i32) (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "text") (result string)
    (canon lift (core func $code "text") string-encoding=utf16 (memory (core memory $code "memory")))))
