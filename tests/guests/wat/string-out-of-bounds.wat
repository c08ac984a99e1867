;; Returns a string that reaches beyond the memory.
;; Must be stopped as a trap. Nothing beyond the memory may be read.
(component
  (core module $code
    (memory (export "memory") 1)
    ;; The pointer, 65,520, and the length, 4,096.
    (data (i32.const 16) "\f0\ff\00\00\00\10\00\00")
    (func (export "text") (result i32)
      (i32.const 16)))
  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (func (export "text") (result string)
    (canon lift (core func $code "text") (memory $memory))))
