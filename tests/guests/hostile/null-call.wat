;; Calls a function through a place of a table that is empty.
(component
  (core module $code
    (type $nothing (func))
    (table 1 funcref)
    (func (export "call") (call_indirect (type $nothing) (i32.const 0))))
  (core instance $code (instantiate $code))
  (func (export "call") (canon lift (core func $code "call"))))
