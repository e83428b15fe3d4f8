import stylistic from "@stylistic/eslint-plugin";
import hooks from "eslint-plugin-react-hooks";
import typescript from "typescript-eslint";

export default typescript.config(
  { ignores: ["node_modules"] },
  ...typescript.configs.strict,
  stylistic.configs.customize({ quotes: "double", semi: true, jsx: true, braceStyle: "1tbs" }),
  {
    files: ["**/*.{ts,tsx,js}"],
    plugins: { "react-hooks": hooks },
    rules: {
      ...hooks.configs.recommended.rules,
      eqeqeq: "error",
      "no-console": "error",
      "@stylistic/max-len": ["error", { code: 100, ignoreUrls: true }],
      "@stylistic/operator-linebreak": "off",
      "@stylistic/multiline-ternary": "off",
      "@stylistic/jsx-one-expression-per-line": "off",
      "@stylistic/arrow-parens": ["error", "always"],
      "@stylistic/quote-props": ["error", "as-needed"],
      "max-lines": ["error", 300],
    },
  },
);
