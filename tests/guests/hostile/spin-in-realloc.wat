;; Never returns from allocating the room for its argument: the function itself is never reached.
(component
  (core module $code
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (loop $again (br $again))
      unreachable)
    (func (export "length") (param i32 i32) (result i32) (local.get 1)))
  (core instance $code (instantiate $code))
  (func (export "length") (param "text" string) (result u32)
    (canon lift (core func $code "length") (memory (core memory $code "memory")) (realloc (core func $code "realloc")))))
