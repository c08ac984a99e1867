;; A core module: WebAssembly, but not a component.
;; Must be refused on upload, with an error that says what it is and what is wanted.
(module
  (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1))))
