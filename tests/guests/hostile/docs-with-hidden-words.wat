;; Describes itself in words that a person does not see and a model does: letters that turn the direction of reading,
;; that have no width, that stand for tags, and commands to a terminal.
(component
  (core module $code (func (export "one") (result i32) (i32.const 1)))
  (core instance $code (instantiate $code))
  (func (export "one") (result u32) (canon lift (core func $code "one")))
  (@custom "package-docs"
    "\01{\22worlds\22:{\22tool\22:{\22func_exports\22:{\22one\22:\22Counts.\e2\80\ae\e2\80\8b\e2\81\a6\ef\bb\bf\f3\a0\81\a9\\u001b[2J\\u009b31m Done.\22}}}}"))
