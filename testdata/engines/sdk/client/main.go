// Command client reads what with-creds gave it as a vendor's own library does, and says what that library made of it. It prints no secret: only
// whether the library found the same one that the plain variable holds.
//
//	client mongodb|mssql|oracle|oracle-tns|aws|aws-follow|azure|gcp
package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/microsoft/go-mssqldb/msdsn"
	ora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/configurations"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
	"golang.org/x/oauth2/google"
)

func main() {
	clients := map[string]func(context.Context) error{
		"mongodb": mongodb, "mssql": mssql, "oracle": oracle, "oracle-tns": oracleTNS, "aws": whoami, "aws-follow": follow, "azure": azure, "gcp": gcp,
	}
	if err := clients[os.Args[1]](context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// same compares what a library read with the plain variables.
func same(user, password, userVariable, passwordVariable string) error {
	if user != os.Getenv(userVariable) || user == "" {
		return fmt.Errorf("the user is %q, and %s is %q", user, userVariable, os.Getenv(userVariable))
	}
	if password != os.Getenv(passwordVariable) || password == "" {
		return fmt.Errorf("the password has %d bytes and is not that of %s, which has %d", len(password), passwordVariable, len(os.Getenv(passwordVariable)))
	}
	return nil
}

func mongodb(context.Context) error {
	c, err := connstring.ParseAndValidate(os.Getenv("MONGODB_URI"))
	if err != nil {
		return errors.New("MONGODB_URI is not understood") // the library's words could hold it
	}
	fmt.Println("hosts", c.Hosts, "database", c.Database, "authenticates in", c.AuthSource)
	return same(c.Username, c.Password, "MONGODB_USERNAME", "MONGODB_PASSWORD")
}

func mssql(context.Context) error {
	c, err := msdsn.Parse(os.Getenv("MSSQL_URL"))
	if err != nil {
		return errors.New("MSSQL_URL is not understood")
	}
	fmt.Println("host", c.Host, "database", c.Database)
	return same(c.User, c.Password, "SQLCMDUSER", "SQLCMDPASSWORD")
}

func oracle(context.Context) error {
	c, err := configurations.ParseConfig(os.Getenv("ORACLE_URL"))
	if err != nil {
		return errors.New("ORACLE_URL is not understood")
	}
	for _, server := range c.Servers {
		fmt.Println("server", server.Addr, "port", server.Port, "service", c.ServiceName)
	}
	u, err := url.Parse(os.Getenv("ORACLE_URL"))
	if err != nil {
		return errors.New("ORACLE_URL is no URL")
	}
	password, _ := u.User.Password()
	if c.Password != password {
		return errors.New("the driver and RFC 3986 disagree on the password")
	}
	return same(c.UserID, c.Password, "ORACLE_USERNAME", "ORACLE_PASSWORD")
}

// oracleTNS reads the login script and, for the name that it connects to, tnsnames.ora.
func oracleTNS(context.Context) error {
	script, err := os.ReadFile(os.Getenv("ORACLE_LOGIN_SQL"))
	if err != nil {
		return err
	}
	login := regexp.MustCompile(`(?m)^connect (\S+)/"(.*)"@(\w+)$`).FindStringSubmatch(string(script))
	if login == nil || login[3] != os.Getenv("TWO_TASK") {
		return errors.New("the login script does not connect to the name in TWO_TASK")
	}
	names, err := os.ReadFile(filepath.Join(os.Getenv("TNS_ADMIN"), "tnsnames.ora"))
	if err != nil {
		return err
	}
	name, descriptor, _ := strings.Cut(strings.TrimSpace(string(names)), " = ")
	if name != login[3] {
		return fmt.Errorf("tnsnames.ora has %s and not %s", name, login[3])
	}
	c, err := configurations.ParseConfig(ora.BuildJDBC(login[1], login[2], descriptor, nil))
	if err != nil {
		return errors.New("the driver does not understand them")
	}
	for _, server := range c.Servers {
		fmt.Println("server", server.Addr, "port", server.Port, "service", c.ServiceName)
	}
	return same(c.UserID, login[2], "ORACLE_USERNAME", "ORACLE_PASSWORD")
}

func whoami(ctx context.Context) error {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	answer, err := sts.NewFromConfig(settings).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return err
	}
	fmt.Println(*answer.Arn)
	return nil
}

// follow asks with one client, as a program that runs for long has it, until it has been three users or two minutes are over. moto takes the keys of a user that is
// gone for its own: once, a slow machine may have asked so long after it was given them; twice in a row, they were not asked for again.
func follow(ctx context.Context) error {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := sts.NewFromConfig(settings)
	users, strangers := map[string]bool{}, 0
	for end := time.Now().Add(2 * time.Minute); len(users) < 3 && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		answer, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return err
		}
		if strings.Contains(*answer.Arn, ":user/vault-") {
			users[*answer.Arn], strangers = true, 0
		} else if strangers++; strangers > 1 {
			return fmt.Errorf("asked with the keys of nobody, who is %s", *answer.Arn)
		}
	}
	fmt.Println("users", len(users))
	return nil
}

func azure(context.Context) error {
	if _, err := azidentity.NewEnvironmentCredential(nil); err != nil {
		return err
	}
	fmt.Println("azidentity reads it, tenant", os.Getenv("ARM_TENANT_ID"))
	return same(os.Getenv("ARM_CLIENT_ID"), os.Getenv("ARM_CLIENT_SECRET"), "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
}

func gcp(ctx context.Context) error {
	c, err := google.FindDefaultCredentials(ctx, "https://www.googleapis.com/auth/cloud-platform")
	if err != nil {
		return err
	}
	key, err := google.JWTConfigFromJSON(c.JSON)
	if err != nil {
		return errors.New("the key file is not understood")
	}
	fmt.Println("project", c.ProjectID, "as", key.Email)
	return nil
}
