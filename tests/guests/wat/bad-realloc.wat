;; Claims to have allocated its argument beyond the memory.
;; Must be stopped as a trap. The argument must be written nowhere.
(component
  (core module $code
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (i32.const 0x7ffffff0))
    (func (export "length") (param i32 i32) (result i32)
      (local.get 1)))
  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (alias core export $code "realloc" (core func $realloc))
  (func (export "length") (param "text" string) (result u32)
    (canon lift (core func $code "length") (memory $memory) (realloc $realloc))))
