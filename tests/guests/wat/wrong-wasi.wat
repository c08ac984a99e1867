;; Imports an interface of WASI in a version that does not exist.
;; Must be refused with an error that names the interface and its version.
(component
  (import "wasi:cli/environment@0.9.0" (instance
    (export "get-environment" (func (result (list (tuple string string)))))))
  (core module $code
    (func (export "add") (param i32 i32) (result i32)
      (i32.add (local.get 0) (local.get 1))))
  (core instance $code (instantiate $code))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $code "add"))))
