;; Exports an interface with a resource, and one plain function.
;; The constructor and the method must be reported as functions that cannot cross. `double` must work.
(component
  (type $counter (resource (rep i32)))
  (core func $new (canon resource.new $counter))
  (core module $code
    (import "counter" "new" (func $new (param i32) (result i32)))
    (func (export "constructor") (param i32) (result i32)
      (call $new (local.get 0)))
    (func (export "value") (param i32) (result i32)
      (local.get 0))
    (func (export "double") (param i32) (result i32)
      (i32.mul (local.get 0) (i32.const 2))))
  (core instance $code (instantiate $code
    (with "counter" (instance (export "new" (func $new))))))
  (func $constructor (param "start" u32) (result (own $counter))
    (canon lift (core func $code "constructor")))
  (func $value (param "self" (borrow $counter)) (result u32)
    (canon lift (core func $code "value")))
  ;; An interface is an instance, and only a component can give the exports of an instance their types.
  (component $interface
    (import "counter" (type $counter (sub resource)))
    (import "constructor" (func $constructor (param "start" u32) (result (own $counter))))
    (import "value" (func $value (param "self" (borrow $counter)) (result u32)))
    (export $exported "counter" (type $counter))
    (export "[constructor]counter" (func $constructor)
      (func (param "start" u32) (result (own $exported))))
    (export "[method]counter.value" (func $value)
      (func (param "self" (borrow $exported)) (result u32))))
  (instance $counters (instantiate $interface
    (with "counter" (type $counter))
    (with "constructor" (func $constructor))
    (with "value" (func $value))))
  (export "test:resource/counters" (instance $counters))
  (func (export "double") (param "number" u32) (result u32)
    (canon lift (core func $code "double"))))
