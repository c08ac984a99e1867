;; Imports an interface that no host has.
;; Must be refused with an error that names the interface.
(component
  (import "example:unknown/oracle" (instance
    (export "ask" (func (param "question" string) (result string)))))
  (core module $code
    (func (export "add") (param i32 i32) (result i32)
      (i32.add (local.get 0) (local.get 1))))
  (core instance $code (instantiate $code))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $code "add"))))
