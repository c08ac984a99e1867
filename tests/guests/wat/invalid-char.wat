;; Returns a character that is not a Unicode scalar value: a surrogate.
;; Must be stopped as a trap.
(component
  (core module $code
    (func (export "letter") (result i32) (i32.const 0xd800)))
  (core instance $code (instantiate $code))
  (func (export "letter") (result char) (canon lift (core func $code "letter"))))
