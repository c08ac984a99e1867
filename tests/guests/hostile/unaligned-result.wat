;; Answers with an odd address where that of its answer should be.
(component
  (core module $code
    (memory (export "memory") 1)
    (func (export "text") (result i32) (i32.const 17)))
  (core instance $code (instantiate $code))
  (func (export "text") (result string) (canon lift (core func $code "text") (memory (core memory $code "memory")))))
