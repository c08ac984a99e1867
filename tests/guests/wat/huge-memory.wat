;; A memory of 4 GiB from the start.
;; Must be refused or stopped for memory before the function runs.
(component
  (core module $code
    (memory 65536)
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
