;; Answers with a text whose length says that it is twice as wide, and ends beyond the memory for that.
(component
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "\00\80\00\00\01\40\00\80")
    (func (export "text") (result i32) (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "text") (result string)
    (canon lift (core func $code "text") string-encoding=latin1+utf16 (memory (core memory $code "memory")))))
