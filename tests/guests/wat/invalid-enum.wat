;; Returns a case of an enum that does not exist, and a case of a variant that does not exist.
;; Must be stopped as a trap.
(component
  (type $color (enum "red" "green"))
  (import "color" (type $exported-color (eq $color)))
  (type $shape (variant (case "nothing") (case "circle" u32)))
  (import "shape" (type $exported-shape (eq $shape)))
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "\09")
    (func (export "color") (result i32) (i32.const 7))
    (func (export "shape") (result i32) (i32.const 16)))
  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (func (export "pick-color") (result $exported-color)
    (canon lift (core func $code "color")))
  (func (export "pick-shape") (result $exported-shape)
    (canon lift (core func $code "shape") (memory $memory))))
