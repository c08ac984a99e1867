;; Asks for more memory than there is whenever the host hands something over, and crashes when it is refused.
(component
  (core module $code
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (if (i32.eq (memory.grow (i32.const 60000)) (i32.const -1)) (then unreachable))
      (i32.const 0))
    (func (export "length") (param i32 i32) (result i32) (local.get 1)))
  (core instance $code (instantiate $code))
  (func (export "length") (param "text" string) (result u32)
    (canon lift (core func $code "length") (memory (core memory $code "memory")) (realloc (core func $code "realloc")))))
