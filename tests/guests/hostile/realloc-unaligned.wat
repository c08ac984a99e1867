;; Makes room for a list of numbers at an odd address.
(component
  (core module $code
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1025))
    (func (export "count") (param i32 i32) (result i32) (local.get 1)))
  (core instance $code (instantiate $code))
  (func (export "count") (param "numbers" (list u64)) (result u32)
    (canon lift (core func $code "count") (memory (core memory $code "memory")) (realloc (core func $code "realloc")))))
