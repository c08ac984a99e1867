;; Brings functions for a table that is too small: it can never be made ready.
(component
  (core module $code
    (table 1 funcref)
    (elem (i32.const 1) $one)
    (func $one (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
