;; Answers with nearly two million texts without a letter.
(component
  (core module $code
    (memory (export "memory") 240)
    (data (i32.const 16) "\00\04\00\00\00\80\1d\00")
    (func (export "texts") (result i32) (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "texts") (result (list string)) (canon lift (core func $code "texts") (memory (core memory $code "memory")))))
