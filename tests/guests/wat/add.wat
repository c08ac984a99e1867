;; The smallest useful component: one function, no imports.
;; Must work: add(2, 40) is 42, and the sum wraps at 2^32.
(component
  (core module $code
    (func (export "add") (param i32 i32) (result i32)
      (i32.add (local.get 0) (local.get 1))))
  (core instance $code (instantiate $code))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32)
    (canon lift (core func $code "add"))))
