;; Takes its text in 16-bit units, and makes half the room that it is asked for each time.
(component
  (core module $code
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65534))
    (func (export "length") (param i32 i32) (result i32) (local.get 1)))
  (core instance $code (instantiate $code))
  (func (export "length") (param "text" string) (result u32)
    (canon lift (core func $code "length") string-encoding=utf16
      (memory (core memory $code "memory")) (realloc (core func $code "realloc")))))
