;; Takes a text and answers with its length in bytes. Harmless: what is hostile is how it is called, with letters of
;; more than one byte where a log would cut them.
(component
  (core module $code
    (memory (export "memory") 8)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "length") (param i32 i32) (result i32) (local.get 1)))
  (core instance $code (instantiate $code))
  (func (export "length") (param "text" string) (result u32)
    (canon lift (core func $code "length") (memory (core memory $code "memory")) (realloc (core func $code "realloc")))))
