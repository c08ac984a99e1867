;; Returns its string's pointer and length at an address beyond the memory.
;; Must be stopped as a trap.
(component
  (core module $code
    (memory (export "memory") 1)
    (func (export "text") (result i32)
      (i32.const 0x7ffffff0)))
  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (func (export "text") (result string)
    (canon lift (core func $code "text") (memory $memory))))
