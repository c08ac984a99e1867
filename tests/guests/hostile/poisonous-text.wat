;; Answers, and fails, with a text that is a command to a terminal, a header of HTTP, the end of a script, a line of a
;; log, and letters that cannot be seen.
(component
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "\00\04\00\00\4c\00\00\00")
    (data (i32.const 32) "\01\00\00\00\00\04\00\00\4c\00\00\00")
    (data (i32.const 1024)
      "\1b[2J\0d\0aSet-Cookie: a=b\0d\0a\0d\0a</script><script>\00\22\5c\e2\80\ae\e2\80\8b\e2\80\a8\c2\9b31m\ef\bb\bf\7f{{7*7}}${x}%n")
    (func (export "text") (result i32) (i32.const 16))
    (func (export "failure") (result i32) (i32.const 32)))
  (core instance $code (instantiate $code))
  (func (export "text") (result string) (canon lift (core func $code "text") (memory (core memory $code "memory"))))
  (func (export "failure") (result (result (error string)))
    (canon lift (core func $code "failure") (memory (core memory $code "memory")))))
