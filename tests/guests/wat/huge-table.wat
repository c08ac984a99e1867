;; A table of ten million elements from the start: 80 MB of the host's memory, none of it linear.
;; Must be refused or stopped for memory before the function runs.
(component
  (core module $code
    (table 10000000 funcref)
    (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one"))))
