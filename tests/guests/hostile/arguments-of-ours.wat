;; A function whose parameters have names that mean something in JSON Schema and in the prototypes of JavaScript.
(component
  (core module $code
    (func (export "add") (param i32 i32 i32) (result i32)
      (i32.add (local.get 0) (i32.add (local.get 1) (local.get 2)))))
  (core instance $code (instantiate $code))
  (func (export "add") (param "constructor" u32) (param "properties" u32) (param "type" u32) (result u32)
    (canon lift (core func $code "add"))))
