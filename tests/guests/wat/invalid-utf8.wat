;; Returns a string that is not UTF-8.
;; Must be stopped as a trap, and never reach a caller.
(component
  (core module $code
    (memory (export "memory") 1)
    ;; The pointer, 32, and the length, 3.
    (data (i32.const 16) "\20\00\00\00\03\00\00\00")
    (data (i32.const 32) "a\ff\fe")
    (func (export "text") (result i32)
      (i32.const 16)))
  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (func (export "text") (result string)
    (canon lift (core func $code "text") (memory $memory))))
