;; Answers with a future, of WASI 0.3, which is not offered.
(component
  (core module $code (func (export "later") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "later") (result (future string)) (canon lift (core func $code "later"))))
