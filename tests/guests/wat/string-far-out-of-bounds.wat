;; Returns a string whose pointer and length overflow when they are added.
;; Must be stopped as a trap.
(component
  (core module $code
    (memory (export "memory") 1)
    ;; The pointer, 4,294,967,280, and the length, 4,294,967,295.
    (data (i32.const 16) "\f0\ff\ff\ff\ff\ff\ff\ff")
    (func (export "text") (result i32)
      (i32.const 16)))
  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (func (export "text") (result string)
    (canon lift (core func $code "text") (memory $memory))))
