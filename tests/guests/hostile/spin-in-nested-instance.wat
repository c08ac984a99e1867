;; A component within a component, whose start function never returns: the outer one is never ready.
(component
  (component $inner
    (core module $code
      (func $spin (loop $again (br $again)))
      (start $spin))
    (core instance (instantiate $code)))
  (instance (instantiate $inner))
  (core module $code
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
