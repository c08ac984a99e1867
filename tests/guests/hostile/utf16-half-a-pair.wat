;; Answers with half of a pair of surrogates, in a text of 16-bit units.
(component
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "\20\00\00\00\02\00\00\00")
    (data (i32.const 32) "a\00\00\d8")
    (func (export "text") (result i32) (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "text") (result string)
    (canon lift (core func $code "text") string-encoding=utf16 (memory (core memory $code "memory")))))
