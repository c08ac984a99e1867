;; Imports an interface that is offered, with a function that it does not have.
(component
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "set-environment" (func (param "value" u32)))))
  (core func $set (canon lower (func $environment "set-environment")))
  (core module $code
    (import "host" "set" (func $set (param i32)))
    (func (export "set") (call $set (i32.const 1))))
  (core instance $code (instantiate $code (with "host" (instance (export "set" (func $set))))))
  (func (export "set") (canon lift (core func $code "set"))))
