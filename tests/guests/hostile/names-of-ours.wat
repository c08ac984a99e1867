;; Functions with names that mean something in paths of our own, and in languages of our clients.
(component
  (core module $code (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "queue") (result u32) (canon lift (core func $code "one")))
  (func (export "jobs") (result u32) (canon lift (core func $code "one")))
  (func (export "execute") (result u32) (canon lift (core func $code "one")))
  (func (export "constructor") (result u32) (canon lift (core func $code "one")))
  (func (export "proto") (result u32) (canon lift (core func $code "one"))))
