;; Answers with a character beyond the last one that there is.
(component
  (core module $code (func (export "letter") (result i32) (i32.const 0x110000)))
  (core instance $code (instantiate $code))
  (func (export "letter") (result char) (canon lift (core func $code "letter"))))
