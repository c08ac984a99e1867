;; Answers with a stream, of WASI 0.3, which is not offered.
(component
  (core module $code (func (export "stream") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "stream") (result (stream u8)) (canon lift (core func $code "stream"))))
